"""What a script lets others see of itself: lines of a name and a value."""
import os


def tell(**facts):
    with open('/work/.state', 'w') as file:
        for name, value in facts.items():
            file.write(f'{name} {value}\n')
    os.replace('/work/.state', '/work/state')
