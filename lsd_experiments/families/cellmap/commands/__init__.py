"""The subcommands of ``csc``: each a module with ``add``, which adds its parser, and the function that it calls."""
