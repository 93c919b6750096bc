"""placeholder"""


def running_socket():
    return None


def client_environment():
    return {}
