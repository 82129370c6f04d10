"""`make storm`: a relay under load while its worker is swapped, or killed, again and again."""
