"""A module that cannot be imported, and not for lack of another one."""

raise RuntimeError("cannot cache function: no locator available")
