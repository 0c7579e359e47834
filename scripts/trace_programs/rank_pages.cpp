// PageRank on a random graph: a graph is made once and written to a file, then read back and ranked.
//
//     g++ -O2 -o rank_pages scripts/trace_programs/rank_pages.cpp
//     ./rank_pages make GRAPH SCALE DEGREE     2^SCALE nodes, DEGREE edges each, both directions
//     ./rank_pages rank GRAPH ROUNDS
//
// Edges are drawn by the rule of Kronecker graphs (A, B, C = 0.57, 0.19, 0.19), nodes are then renumbered at random; so a
// few nodes have most of the edges and stand anywhere. Ranks are pulled, node by node, as GAP's PageRank does.

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <vector>

namespace {

struct Random {
    uint64_t state;
    uint64_t next() {  // splitmix64: the same numbers on every machine
        uint64_t z = (state += 0x9e3779b97f4a7c15ull);
        z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
        z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
        return z ^ (z >> 31);
    }
    uint32_t below(uint32_t bound) { return static_cast<uint32_t>(((next() >> 32) * bound) >> 32); }
};

struct Graph {
    std::vector<uint64_t> first;  // of node n: edges first[n] to first[n + 1]
    std::vector<uint32_t> neighbour;
};

[[noreturn]] void fail(const char* what) {
    std::fprintf(stderr, "rank_pages: %s\n", what);
    std::exit(1);
}

Graph make_graph(int scale, int degree) {
    Random random{27491095};
    const uint32_t n_nodes = 1u << scale;
    std::vector<uint32_t> name(n_nodes);
    for (uint32_t node = 0; node < n_nodes; ++node) name[node] = node;
    for (uint32_t node = n_nodes - 1; node > 0; --node) std::swap(name[node], name[random.below(node + 1)]);
    std::vector<std::pair<uint32_t, uint32_t>> edges;
    for (uint64_t edge = 0; edge < static_cast<uint64_t>(n_nodes) * degree; ++edge) {
        uint32_t from = 0, to = 0;
        for (int level = 0; level < scale; ++level) {
            const uint32_t drawn = random.below(100);
            from = from * 2 + (drawn >= 76);
            to = to * 2 + ((drawn >= 57 && drawn < 76) || drawn >= 95);
        }
        edges.emplace_back(name[from], name[to]);
        edges.emplace_back(name[to], name[from]);
    }
    std::sort(edges.begin(), edges.end());
    edges.erase(std::unique(edges.begin(), edges.end()), edges.end());
    Graph graph;
    graph.first.assign(n_nodes + 1, 0);
    for (const auto& edge : edges) ++graph.first[edge.first + 1];
    for (uint32_t node = 0; node < n_nodes; ++node) graph.first[node + 1] += graph.first[node];
    for (const auto& edge : edges) graph.neighbour.push_back(edge.second);
    return graph;
}

void write_graph(const Graph& graph, const char* path) {
    std::FILE* file = std::fopen(path, "wb");
    if (!file) fail("the graph cannot be written");
    const uint64_t sizes[2] = {graph.first.size(), graph.neighbour.size()};
    const bool whole = std::fwrite(sizes, sizeof(uint64_t), 2, file) == 2 &&
                       std::fwrite(graph.first.data(), sizeof(uint64_t), sizes[0], file) == sizes[0] &&
                       std::fwrite(graph.neighbour.data(), sizeof(uint32_t), sizes[1], file) == sizes[1];
    if (std::fclose(file) != 0 || !whole) fail("the graph cannot be written");
}

Graph read_graph(const char* path) {
    std::FILE* file = std::fopen(path, "rb");
    uint64_t sizes[2];
    if (!file || std::fread(sizes, sizeof(uint64_t), 2, file) != 2) fail("the graph cannot be read");
    Graph graph;
    graph.first.resize(sizes[0]);
    graph.neighbour.resize(sizes[1]);
    if (std::fread(graph.first.data(), sizeof(uint64_t), sizes[0], file) != sizes[0] ||
        std::fread(graph.neighbour.data(), sizeof(uint32_t), sizes[1], file) != sizes[1])
        fail("the graph ends early");
    std::fclose(file);
    return graph;
}

double rank_nodes(const Graph& graph, int rounds) {
    const size_t n_nodes = graph.first.size() - 1;
    const double damping = 0.85;
    std::vector<double> rank(n_nodes, 1.0 / n_nodes), share(n_nodes);
    double change = 0;
    for (int round = 0; round < rounds; ++round) {
        for (size_t node = 0; node < n_nodes; ++node) {
            const uint64_t degree = graph.first[node + 1] - graph.first[node];
            share[node] = degree ? rank[node] / degree : 0.0;
        }
        change = 0;
        for (size_t node = 0; node < n_nodes; ++node) {
            double sum = 0;
            for (uint64_t edge = graph.first[node]; edge < graph.first[node + 1]; ++edge)
                sum += share[graph.neighbour[edge]];
            const double fresh = (1 - damping) / n_nodes + damping * sum;
            change += std::fabs(fresh - rank[node]);
            rank[node] = fresh;
        }
    }
    return change;
}

}  // namespace

int main(int argc, char** argv) {
    if (argc == 5 && !std::strcmp(argv[1], "make")) {
        write_graph(make_graph(std::atoi(argv[3]), std::atoi(argv[4])), argv[2]);
        return 0;
    }
    if (argc == 4 && !std::strcmp(argv[1], "rank")) {
        std::printf("change in the last round: %.6f\n", rank_nodes(read_graph(argv[2]), std::atoi(argv[3])));
        return 0;
    }
    std::fprintf(stderr, "usage: rank_pages make GRAPH SCALE DEGREE | rank_pages rank GRAPH ROUNDS\n");
    return 2;
}
