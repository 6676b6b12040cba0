"""The command line `torchtrt-ws`: one module for each subcommand."""
