"""A simulated payment provider: another company's service, as merchants would meet it, with a card for every misfortune."""
