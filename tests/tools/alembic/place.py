import os

url = os.environ["URL"].replace("postgres:", "postgresql+psycopg2:").replace("sqlite:", "sqlite:///")
