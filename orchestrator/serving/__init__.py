"""Programs that serve a model inside of an image, where a framework brings a server without a command of its own."""
