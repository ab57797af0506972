"""Bytes that are fetched ahead: in order, bounded, and never in the way of what somebody waits for."""

from concurrent.futures import ThreadPoolExecutor, wait

from ups_data.reading.window.budget import Budget


def served(budget, ticket, size):
    budget.turn(ticket, lambda: False)
    budget.reserve(ticket, size, lambda: False)
    budget.pass_on(ticket)


def test_a_ticket_that_no_thread_has_come_to_yet_is_waited_for():
    """Two threads serve tickets, the bytes are held by blocks that are needed late, and a third is needed now."""
    budget = Budget(100)
    budget.reserve(budget.ticket(), 100, lambda: False)
    tickets = [budget.ticket() for _ in range(3)]
    threads = ThreadPoolExecutor(2)
    done = [threads.submit(served, budget, ticket, 60) for ticket in tickets]
    assert not wait(done, timeout=0.1).done
    budget.hurry(tickets[2])
    try:
        assert done[2] in wait(done[2:], timeout=10).done
        assert budget.held >= 220  # its own, and those of the ticket that a thread had to finish for it
    finally:
        budget.give_back(100 + 60 + 60)  # or the threads would never end
        threads.shutdown()
