"""What a person watches of an arm and its policy, live or recorded, in the viewers of others."""
