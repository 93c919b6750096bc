"""A client of servers with OpenAI's interface: requests in flight by the thousand, in one process or several."""
