"""Where engines come from: one module for each way to build or read one."""
