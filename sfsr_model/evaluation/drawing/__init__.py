"""Drawings of wanted expressions against photos that show them."""
