"""The services of Tradewind, each on its own: none imports another."""
