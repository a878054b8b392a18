"""GF(3) triads: trits, the groups that balance, and what documents claim about them. Works without extras."""
