"""What all tests share."""

import signal

# Where the tests run in the background of a script, they inherit that Ctrl-C is ignored, and so would what they start.
signal.signal(signal.SIGINT, signal.default_int_handler)
