"""Budgets that an admin asked for: one process of the application remembers them for replicas that start later."""

from __future__ import annotations

__all__ = ["AskedBudgets", "Budget"]

Budget = int | str | None


class AskedBudgets:
    """A wish holds until the model's config says another budget than when it was made.

    A replica that takes the place of one that died would else load with the config's budget, and take memory that
    somebody had asked it to leave.
    """

    def __init__(self) -> None:
        self._wishes: dict[str, tuple[Budget, Budget]] = {}

    async def ask(self, model: str, configured: Budget, budget: Budget) -> Budget:
        """Remembers a wish.

        Args:
            model: Its name.
            configured: What its config says now.
            budget: What was asked; None forgets what was.

        Returns:
            The wish that held before, or None.
        """
        before = await self.wish(model, configured)
        self._wishes[model] = configured, budget
        return before

    async def wish(self, model: str, configured: Budget) -> Budget:
        """The wish that holds, or None.

        Args:
            model: Its name.
            configured: What its config says now.
        """
        when, budget = self._wishes.get(model, (configured, None))
        if when == configured:
            return budget
        del self._wishes[model]
        return None
