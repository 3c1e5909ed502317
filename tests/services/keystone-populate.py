"""Creates the projects and users of the tests, with the credentials of the environment."""

import os

from keystoneauth1.identity import v3
from keystoneauth1.session import Session
from keystoneclient.v3.client import Client

session = Session(
    auth=v3.Password(
        auth_url=os.environ["OS_AUTH_URL"],
        username=os.environ["OS_USERNAME"],
        password=os.environ["OS_PASSWORD"],
        project_name=os.environ["OS_PROJECT_NAME"],
        user_domain_name="Default",
        project_domain_name="Default",
    )
)
# Bootstrap adds no endpoint of Keystone itself, so the catalog does not name it.
keystone = Client(session=session, endpoint_override=os.environ["OS_AUTH_URL"])
roles = {role.name: role for role in keystone.roles.list()}
for project_name, users in {"service": {"zun": "service"}, "demo": {"demo": "member", "viewer": "reader"}}.items():
    project = keystone.projects.create(project_name, domain="default")
    for name, role in users.items():
        user = keystone.users.create(name, domain="default", password=name)
        keystone.roles.grant(roles[role], user=user, project=project)
