"""Studies: experiments of many runs, each one config."""
