"""Steps that come with mlorch and run inside the image of a side layer; they import nothing of the rest."""
