"""What orders does: placing, cancelling and showing orders, and looking after their sagas."""
