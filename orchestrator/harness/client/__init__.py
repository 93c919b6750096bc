"""A client of servers with OpenAI's interface: requests in flight by the thousand, in a thread of this process or in others."""
