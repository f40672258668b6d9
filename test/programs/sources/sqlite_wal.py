import sqlite3
import time

from facts import tell

writer = sqlite3.connect('/work/app.db', isolation_level=None)
journal = writer.execute('pragma journal_mode = wal').fetchone()[0]
writer.execute('create table t (n integer primary key, v text)')
writer.execute("insert into t (v) values ('first')")
reader = sqlite3.connect('/work/app.db', isolation_level=None)
reader.execute('begin')
reader.execute('select count(*) from t').fetchone()
while True:
    writer.execute('begin immediate')
    writer.executemany('insert into t (v) values (?)', [('x' * 200,)] * 20)
    writer.execute('commit')
    rows = writer.execute('select count(*) from t').fetchone()[0]
    snapshot = reader.execute('select count(*) from t').fetchone()[0]
    integrity = writer.execute('pragma quick_check').fetchone()[0]
    tell(rows=rows, snapshot=snapshot, journal=journal, integrity=integrity)
    time.sleep(0.1)
