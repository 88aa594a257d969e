"""What the shop sells and for how much.

Owns products and every price they ever had. Publishes ProductCreated, ProductChanged and ProductRetired; hears nothing.
"""
