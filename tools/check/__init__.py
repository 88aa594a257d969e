"""Every check but the tests, run by `./taskw lint` and first in `./taskw check`."""
