"""Run by Alembic; the connection comes from `database`, which owns the transaction."""

from alembic import context

from envwatch.catalog.schema import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    render_as_batch=True,
    transactional_ddl=True,
)
context.run_migrations()
