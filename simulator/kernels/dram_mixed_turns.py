"""Whose turn a shared DRAM channel is: PIM first, host first, or alternately, with a bound on waiting."""

from simulator.kernels.dram_mixed_pim import pim_waits
from simulator.kernels.dram_mixed_state import (
    HOST,
    HOST_FIRST,
    P_AT_END,
    P_FORCED,
    P_FORCED_TURNS,
    P_HOST_QUANTUM,
    P_LONGEST_HOST_WAIT,
    P_LONGEST_PIM_WAIT,
    P_MAX_WAIT,
    P_PIM_QUANTUM,
    P_PIM_TICKS,
    P_POLICY,
    P_PREEMPT_ANY,
    P_SINCE,
    P_TURN,
    P_TURNS,
    P_USED,
    P_WAITING_SINCE,
    PIM,
    PIM_FIRST,
)
from simulator.kernels.dram_table_state import READ_QUEUE, S_LENGTH, WRITE_QUEUE, jit


@jit
def host_waits(state):
    """Whether a request is queued, and no row opened for it yet."""
    return state[S_LENGTH + READ_QUEUE] + state[S_LENGTH + WRITE_QUEUE] > 0


@jit
def is_used_up(pim):
    """Whether the turn has had its quantum."""
    return pim[P_USED] >= pim[P_HOST_QUANTUM if pim[P_TURN] == HOST else P_PIM_QUANTUM]


@jit
def has_waited(pim, now):
    """Whether the other side has waited as long as it has to."""
    return 0 < pim[P_MAX_WAIT] <= now - pim[P_WAITING_SINCE]


@jit
def preferred(pim, now):
    """Who should have the channel while both sides want it, and whether only because of a long wait."""
    turn = pim[P_TURN]
    if pim[P_FORCED] and not is_used_up(pim):
        return turn, 1
    if has_waited(pim, now):
        return 1 - turn, 1
    if pim[P_POLICY] == PIM_FIRST:
        return PIM, 0
    if pim[P_POLICY] == HOST_FIRST:
        return HOST, 0
    return (1 - turn if is_used_up(pim) else turn), 0


@jit
def give_turn(pim, turn, forced, now):
    """Hand the channel over."""
    if turn == pim[P_TURN]:
        return
    if pim[P_TURN] == PIM:
        pim[P_PIM_TICKS] += now - pim[P_SINCE]
    else:
        pim[P_TURNS] += 1
        pim[P_AT_END] = 1
    if pim[P_WAITING_SINCE] >= 0:
        longest = P_LONGEST_HOST_WAIT if turn == HOST else P_LONGEST_PIM_WAIT
        pim[longest] = max(pim[longest], now - pim[P_WAITING_SINCE])
    pim[P_WAITING_SINCE] = -1
    pim[P_TURN] = turn
    pim[P_SINCE] = now
    pim[P_USED] = 0
    pim[P_FORCED] = forced
    pim[P_FORCED_TURNS] += forced


@jit
def choose_turn(state, pim, program, now):
    """Decide whose turn this tick is."""
    if not pim_waits(pim, program, now):
        give_turn(pim, HOST, 0, now)
        return
    if not host_waits(state):
        give_turn(pim, PIM, 0, now)
        return
    if pim[P_WAITING_SINCE] < 0:
        pim[P_WAITING_SINCE] = now
    turn, forced = preferred(pim, now)
    if pim[P_TURN] == PIM and turn == HOST and not (pim[P_PREEMPT_ANY] or pim[P_AT_END]):
        return
    give_turn(pim, turn, forced, now)
