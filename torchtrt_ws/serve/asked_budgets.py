"""Budgets that an admin asked for: one process of the application remembers them for replicas that start later."""

from __future__ import annotations

import itertools

__all__ = ["AskedBudgets", "Budget"]

Budget = int | str | None


class AskedBudgets:
    """The last wish holds, until it is taken back or the model's config says another budget than when it was made.

    A replica that takes the place of one that died would else load with the config's budget, and take memory that
    somebody had asked it to leave.
    """

    def __init__(self) -> None:
        self._numbers = itertools.count(1)
        self._configured: dict[str, Budget] = {}
        self._wishes: dict[str, dict[int, Budget]] = {}  # by number; those that may be taken back, the last one last

    async def ask(self, model: str, configured: Budget, budget: Budget) -> int:
        """Remembers a wish.

        Args:
            model: Its name.
            configured: What its config says now.
            budget: What was asked.

        Returns:
            The wish's number; a later wish has a larger one.
        """
        number = next(self._numbers)
        self._of(model, configured)[number] = budget
        return number

    async def take_back(self, model: str, number: int) -> None:
        """Forgets a wish that did not come true. Those that were made meanwhile stay.

        Args:
            model: Its name.
            number: From `ask`.
        """
        self._wishes.get(model, {}).pop(number, None)

    async def grant(self, model: str, number: int) -> None:
        """Forgets the wishes before one that came true.

        Args:
            model: Its name.
            number: From `ask`.
        """
        wishes = self._wishes.get(model, {})
        if number in wishes:
            self._wishes[model] = {each: budget for each, budget in wishes.items() if each >= number}

    async def wish(self, model: str, configured: Budget) -> Budget:
        """The wish that holds, or None.

        Args:
            model: Its name.
            configured: What its config says now.
        """
        wishes = self._of(model, configured)
        return wishes[max(wishes)] if wishes else None

    def _of(self, model: str, configured: Budget) -> dict[int, Budget]:
        if self._configured.setdefault(model, configured) != configured:
            self._configured[model] = configured
            self._wishes.pop(model, None)
        return self._wishes.setdefault(model, {})
