"""What the learned restorer makes of photographs as people have them."""
