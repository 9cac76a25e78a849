"""How each kind of fault is carried out on a made world: one file for each quarter that trouble comes from."""
