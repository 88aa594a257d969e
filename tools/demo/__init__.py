"""A shopper's morning, played against the edge: `./taskw demo`."""
