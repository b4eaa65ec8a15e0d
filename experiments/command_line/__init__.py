"""What is typed and what is answered: options, recipes by name, how programs begin and end."""
