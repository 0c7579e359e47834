"""Requests over time on any system that has `step`: queues, slots and key-value capacity, on simpy."""
