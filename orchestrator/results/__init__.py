"""Results: LoadGen's logs read, runs stored, verified and reported."""
