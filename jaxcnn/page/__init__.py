"""A page that steps forward and back through a network, in one file: imported on demand.

The file holds the network's numbers and runs it in the browser, without a server or a connection.
"""

from jaxcnn.page.file import INTRODUCTION as INTRODUCTION
from jaxcnn.page.file import page as page
from jaxcnn.page.formulas import formula_of as formula_of
from jaxcnn.page.formulas import kind_of as kind_of
from jaxcnn.page.shell import shell as shell
