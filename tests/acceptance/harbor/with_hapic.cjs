// SPDX-License-Identifier: Apache-2.0
// Scenarios of @hapic/harbor, a client of Harbor's API for Node.js.
//
//     node with_hapic.cjs URL USER PASSWORD PROJECT SCENARIO
//
// PROJECT has the repositories app (three images, tagged v1, v2, v3), base and web.

const assert = require('node:assert/strict');
const { randomBytes } = require('node:crypto');
const { HarborClient, isClientErrorWithStatusCode } = require('@hapic/harbor');

const [url, user, password, seeded, scenario] = process.argv.slice(2);
const unique = (prefix) => `${prefix}-${randomBytes(4).toString('hex')}`;
const names = (items) => items.map((item) => item.name);

async function refused(status, call) {
    await assert.rejects(call, (error) => isClientErrorWithStatusCode(error, status));
}

async function scenario_project(client) {
    const prefix = unique('hapic');
    const made = ['c', 'a', 'b'].map((letter) => `${prefix}-${letter}`);
    for (const name of made) {
        const { id } = await client.project.create({ project_name: name, public: false });
        assert.equal((await client.project.getOne(name, true)).project_id, id);
    }
    const first = await client.project.getMany({ query: { name: prefix, page: 1, page_size: 2 } });
    assert.deepEqual([first.data.length, first.meta.total], [2, 3]);
    const all = await client.project.getAll({ query: { q: { name: `~${prefix}` }, page_size: 2, sort: '-name' } });
    assert.deepEqual(names(all.data), [...made].sort().reverse());
    await client.project.update(made[0], { metadata: { public: 'true' } }, true);
    assert.equal((await client.project.getOne(made[0], true)).metadata.public, 'true');
    await refused(409, client.project.create({ project_name: made[0] }));
    for (const name of made) {
        await client.project.delete(name, true);
    }
    await refused(404, client.project.getOne(made[0], true));
}

async function scenario_robot(client) {
    const name = unique('hapic');
    const access = [{ resource: 'repository', action: 'pull' }];
    const permissions = [{ kind: 'project', namespace: seeded, access }];
    const robot = await client.robot.create({ name, permissions });
    assert.ok(robot.secret);
    const found = await client.robot.getMany({ query: { q: { name } } });
    assert.deepEqual(names(found.data), [`robot$${name}`]);
    await client.robot.update(robot.id, { ...(await client.robot.getOne(robot.id)), description: 'changed' });
    assert.equal((await client.robot.getOne(robot.id)).description, 'changed');
    assert.equal((await client.robot.updateSecret(robot.id, 'Chosen-1234')).secret, 'Chosen-1234');
    assert.ok((await client.robot.updateSecret(robot.id)).secret);
    await client.robot.delete(robot.id);
    await refused(404, client.robot.getOne(robot.id));
}

async function scenario_repository(client) {
    const all = await client.projectRepository.getAll({ projectName: seeded, query: { page_size: 2, sort: 'name' } });
    assert.deepEqual(all.data.map((one) => one.name_short), ['app', 'base', 'web']);
    assert.equal((await client.projectRepository.findOne(`${seeded}/web`)).name, `${seeded}/web`);
    await client.projectRepository.update({ projectName: seeded, repositoryName: 'web', data: { description: 'by node' } });
    const shown = await client.projectRepository.getOne(`${seeded}/web`);
    assert.deepEqual([shown.description, shown.artifact_count], ['by node', 1]);
    await refused(404, client.projectRepository.getOne(`${seeded}/nothing`));
}

async function scenario_artifact(client) {
    const app = { projectName: seeded, repositoryName: 'app' };
    const artifacts = await client.projectRepositoryArtifact.getMany({ ...app, query: { with_tag: true, page_size: 2 } });
    assert.deepEqual(artifacts.map((one) => one.tags[0].name), ['v3', 'v2']);
    const copied = { projectName: seeded, repositoryName: 'by-node' };
    await client.projectRepositoryArtifact.copy(copied, { ...app, artifactTag: 'v1' });
    assert.equal((await client.projectRepositoryArtifact.getMany(copied)).length, 1);
    await client.projectRepositoryArtifact.delete({ ...copied, tagOrDigest: 'v1' });
    assert.equal((await client.projectRepositoryArtifact.getMany(copied)).length, 0);
    await client.projectRepository.delete(`${seeded}/by-node`);
    const label = await client.post('labels', { name: unique('hapic'), scope: 'g' });
    const labelId = Number(label.headers.get('location').split('/').pop());
    await client.projectRepositoryArtifactLabel.create({ ...app, tagOrDigest: 'v1', labelId });
    await client.projectRepositoryArtifactLabel.delete({ ...app, tagOrDigest: 'v1', labelId });
    await refused(404, client.projectRepositoryArtifactLabel.delete({ ...app, tagOrDigest: 'v1', labelId }));
}

const scenarios = { scenario_project, scenario_robot, scenario_repository, scenario_artifact };
const client = new HarborClient({ connectionOptions: { host: `${url}/api/v2.0/`, user, password } });
scenarios[`scenario_${scenario}`](client).catch((error) => {
    console.error(error, error?.response?.data);
    process.exit(1);
});
