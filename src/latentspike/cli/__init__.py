"""The command line: parse, then call one function. Imports everything."""
