"""One setpoint each control period: what is followed, what is sent, and when the arm stops."""
