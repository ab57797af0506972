"""Bytes that are fetched ahead: in order, bounded, and never in the way of what somebody waits for."""

import threading
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


def test_a_later_pass_gets_bytes_of_the_first_quarter_until_it_begins():
    budget, early = Budget(100), True
    budget.reserve(budget.ticket(), 20, lambda: False)
    assert budget.has_room(early=True)
    begun = threading.Event()

    def reserve(ticket):
        begun.set()
        granted.append(budget.reserve(ticket, 10, lambda: False, lambda: early))

    granted = []
    thread = threading.Thread(target=reserve, args=[budget.ticket()])
    thread.start()
    begun.wait()
    thread.join(0.2)
    assert not granted  # 30 of 100 are more than a quarter
    early = False
    thread.join(5)
    assert granted == [True]
    assert budget.held == 30
    assert not budget.has_room(early=True)
    assert budget.has_room(early=False)
