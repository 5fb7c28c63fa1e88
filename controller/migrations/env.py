"""Run by Alembic for `controller.database`, which hands over its open connection and its transaction."""

from alembic import context

from controller import schema

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=schema.metadata,
    # SQLite can undo a change of tables as well; Alembic assumes that it cannot.
    transactional_ddl=True,
)
with context.begin_transaction():
    context.run_migrations()
