"""The command line, `toolverifier`: run a request, look at tools and models, see a demonstration."""
