"""What Tradewind costs, measured beside baselines in the same run: `./taskw bench`."""
