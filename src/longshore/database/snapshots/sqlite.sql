CREATE TABLE access_tokens (
	id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
	user_id INTEGER NOT NULL,
	name TEXT NOT NULL,
	secret_hash TEXT NOT NULL,
	scope TEXT,
	access_version BIGINT NOT NULL,
	created_at BIGINT NOT NULL,
	expires_at BIGINT,
	used_at BIGINT,
	CONSTRAINT fk_access_tokens_user_id FOREIGN KEY(user_id) REFERENCES users (id) ON DELETE CASCADE
);
CREATE UNIQUE INDEX uq_access_tokens_secret_hash ON access_tokens (secret_hash);
CREATE UNIQUE INDEX uq_access_tokens_user_name ON access_tokens (user_id, name);
CREATE TABLE alembic_version (
	version_num VARCHAR(32) NOT NULL,
	CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
);
CREATE TABLE artifact_labels (
	manifest_id INTEGER NOT NULL,
	label_id INTEGER NOT NULL,
	created_at BIGINT NOT NULL,
	CONSTRAINT pk_artifact_labels PRIMARY KEY (manifest_id, label_id),
	CONSTRAINT fk_artifact_labels_manifest_id FOREIGN KEY(manifest_id) REFERENCES manifests (id) ON DELETE CASCADE,
	CONSTRAINT fk_artifact_labels_label_id FOREIGN KEY(label_id) REFERENCES labels (id) ON DELETE CASCADE
);
CREATE INDEX ix_artifact_labels_label_id_manifest_id ON artifact_labels (label_id, manifest_id);
CREATE TABLE artifacts (
	manifest_id INTEGER NOT NULL,
	repository_id INTEGER NOT NULL,
	project_id INTEGER NOT NULL,
	pushed_at BIGINT NOT NULL,
	listed BOOLEAN DEFAULT 0 NOT NULL,
	tag_count BIGINT DEFAULT 0 NOT NULL,
	type TEXT DEFAULT 'UNKNOWN' NOT NULL,
	config_media_type TEXT DEFAULT '' NOT NULL,
	size BIGINT DEFAULT 0 NOT NULL,
	accessory_type TEXT,
	subject_digest TEXT,
	icon TEXT,
	additions TEXT DEFAULT '[]' NOT NULL,
	extra_attributes TEXT DEFAULT '{}' NOT NULL,
	described_at BIGINT,
	describe_after BIGINT,
	CONSTRAINT pk_artifacts PRIMARY KEY (manifest_id),
	CONSTRAINT fk_artifacts_manifest_id FOREIGN KEY(manifest_id) REFERENCES manifests (id) ON DELETE CASCADE
);
CREATE INDEX ix_artifacts_accessories ON artifacts (repository_id, subject_digest, manifest_id) WHERE accessory_type IS NOT NULL;
CREATE INDEX ix_artifacts_describe_after ON artifacts (describe_after) WHERE describe_after IS NOT NULL;
CREATE INDEX ix_artifacts_icon ON artifacts (icon) WHERE icon IS NOT NULL;
CREATE INDEX ix_artifacts_listing ON artifacts (repository_id, pushed_at, manifest_id, listed) WHERE listed;
CREATE INDEX ix_artifacts_project_id_size ON artifacts (project_id, size);
CREATE INDEX ix_artifacts_project_listing ON artifacts (project_id, pushed_at, manifest_id, repository_id, listed) WHERE listed;
CREATE TABLE audit_cursors (
	name TEXT NOT NULL,
	seq BIGINT NOT NULL,
	holder TEXT NOT NULL,
	held_until BIGINT NOT NULL,
	CONSTRAINT pk_audit_cursors PRIMARY KEY (name)
);
CREATE TABLE audit_log (
	id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
	project_id INTEGER,
	at BIGINT NOT NULL,
	operation TEXT NOT NULL,
	resource_type TEXT NOT NULL,
	resource TEXT NOT NULL,
	username TEXT NOT NULL,
	description TEXT NOT NULL,
	success BOOLEAN NOT NULL,
	source TEXT NOT NULL
);
CREATE INDEX ix_audit_log_listing ON audit_log (at, id);
CREATE INDEX ix_audit_log_project ON audit_log (project_id, at, id);
CREATE TABLE blobs (
	id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
	digest TEXT NOT NULL,
	size BIGINT NOT NULL,
	location TEXT DEFAULT '' NOT NULL,
	"key" TEXT NOT NULL,
	verified_at BIGINT,
	damaged BOOLEAN DEFAULT 0 NOT NULL,
	CONSTRAINT ck_blobs_size CHECK (size >= 0),
	CONSTRAINT uq_blobs_digest UNIQUE (digest),
	CONSTRAINT uq_blobs_key UNIQUE ("key")
);
CREATE TABLE configuration (
	name TEXT NOT NULL,
	value TEXT NOT NULL,
	updated_at BIGINT NOT NULL,
	CONSTRAINT pk_configuration PRIMARY KEY (name)
);
CREATE TABLE cve_allowlists (
	id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
	project_id INTEGER,
	scope_id INTEGER NOT NULL,
	items TEXT NOT NULL,
	expires_at BIGINT,
	created_at BIGINT NOT NULL,
	updated_at BIGINT NOT NULL,
	CONSTRAINT ck_cve_allowlists_scope CHECK (scope_id = coalesce(project_id, 0)),
	CONSTRAINT fk_cve_allowlists_project_id FOREIGN KEY(project_id) REFERENCES projects (id) ON DELETE CASCADE,
	CONSTRAINT uq_cve_allowlists_scope_id UNIQUE (scope_id)
);
CREATE INDEX ix_cve_allowlists_project_id ON cve_allowlists (project_id);
CREATE TABLE events (
	id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
	seq BIGINT,
	kind TEXT NOT NULL,
	project_id INTEGER,
	payload TEXT NOT NULL,
	at BIGINT NOT NULL,
	CONSTRAINT uq_events_seq UNIQUE (seq)
);
CREATE INDEX ix_events_unnumbered ON events (id) WHERE seq IS NULL;
CREATE TABLE instance (
	id INTEGER NOT NULL,
	uuid TEXT NOT NULL,
	key_check TEXT NOT NULL,
	created_at BIGINT NOT NULL,
	CONSTRAINT pk_instance PRIMARY KEY (id),
	CONSTRAINT ck_instance_single CHECK (id = 1)
);
CREATE TABLE labels (
	id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
	project_id INTEGER,
	name TEXT NOT NULL,
	description TEXT DEFAULT '' NOT NULL,
	color TEXT DEFAULT '' NOT NULL,
	created_at BIGINT NOT NULL,
	updated_at BIGINT NOT NULL,
	CONSTRAINT fk_labels_project_id FOREIGN KEY(project_id) REFERENCES projects (id) ON DELETE CASCADE,
	CONSTRAINT ck_labels_name CHECK (length(name) BETWEEN 1 AND 128)
);
CREATE INDEX ix_labels_project_id_id ON labels (project_id, id);
CREATE UNIQUE INDEX uq_labels_global_name ON labels (name) WHERE project_id IS NULL;
CREATE UNIQUE INDEX uq_labels_project_id_name ON labels (project_id, name);
CREATE TABLE list_totals (
	list TEXT NOT NULL,
	scope_id INTEGER NOT NULL,
	total BIGINT DEFAULT 0 NOT NULL,
	CONSTRAINT pk_list_totals PRIMARY KEY (list, scope_id),
	CONSTRAINT ck_list_totals_total CHECK (total >= 0)
);
CREATE TABLE manifest_blobs (
	manifest_id INTEGER NOT NULL,
	repository_id INTEGER NOT NULL,
	blob_id INTEGER NOT NULL,
	CONSTRAINT pk_manifest_blobs PRIMARY KEY (manifest_id, blob_id),
	CONSTRAINT fk_manifest_blobs_manifest_id FOREIGN KEY(manifest_id) REFERENCES manifests (id) ON DELETE CASCADE,
	CONSTRAINT fk_manifest_blobs_repository_id_blob_id FOREIGN KEY(repository_id, blob_id) REFERENCES repository_blobs (repository_id, blob_id)
);
CREATE INDEX ix_manifest_blobs_repository_id_blob_id ON manifest_blobs (repository_id, blob_id);
CREATE TABLE manifest_children (
	parent_id INTEGER NOT NULL,
	repository_id INTEGER NOT NULL,
	child_digest TEXT NOT NULL,
	child_id INTEGER,
	CONSTRAINT pk_manifest_children PRIMARY KEY (parent_id, child_digest),
	CONSTRAINT fk_manifest_children_child_id FOREIGN KEY(child_id) REFERENCES manifests (id) ON DELETE RESTRICT,
	CONSTRAINT fk_manifest_children_parent_id FOREIGN KEY(parent_id) REFERENCES manifests (id) ON DELETE CASCADE
);
CREATE INDEX ix_manifest_children_child_id ON manifest_children (child_id);
CREATE INDEX ix_manifest_children_repository_id_child_digest ON manifest_children (repository_id, child_digest);
CREATE TABLE manifest_pulls (
	manifest_id INTEGER NOT NULL,
	pull_count BIGINT DEFAULT 0 NOT NULL,
	pulled_at BIGINT NOT NULL,
	CONSTRAINT pk_manifest_pulls PRIMARY KEY (manifest_id),
	CONSTRAINT fk_manifest_pulls_manifest_id FOREIGN KEY(manifest_id) REFERENCES manifests (id) ON DELETE CASCADE
);
CREATE TABLE manifest_wants (
	manifest_id INTEGER NOT NULL,
	repository_id INTEGER NOT NULL,
	digest TEXT NOT NULL,
	CONSTRAINT pk_manifest_wants PRIMARY KEY (manifest_id, digest),
	CONSTRAINT fk_manifest_wants_manifest_id FOREIGN KEY(manifest_id) REFERENCES manifests (id) ON DELETE CASCADE
);
CREATE INDEX ix_manifest_wants_repository_id_digest ON manifest_wants (repository_id, digest);
CREATE TABLE manifests (
	id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
	repository_id INTEGER NOT NULL,
	digest TEXT NOT NULL,
	media_type TEXT NOT NULL,
	artifact_type TEXT,
	subject_digest TEXT,
	size BIGINT NOT NULL,
	annotations TEXT DEFAULT '{}' NOT NULL,
	pushed_at BIGINT NOT NULL,
	review_after BIGINT,
	deleted_at BIGINT,
	purge_after BIGINT,
	deletion_id TEXT,
	hold BOOLEAN DEFAULT 0 NOT NULL,
	payload BLOB NOT NULL,
	CONSTRAINT ck_manifests_deleted CHECK ((deleted_at IS NULL) = (purge_after IS NULL)),
	CONSTRAINT fk_manifests_repository_id FOREIGN KEY(repository_id) REFERENCES repositories (id),
	CONSTRAINT uq_manifests_repository_id_digest UNIQUE (repository_id, digest)
);
CREATE INDEX ix_manifests_deletion_id ON manifests (deletion_id) WHERE deletion_id IS NOT NULL;
CREATE INDEX ix_manifests_hold ON manifests (repository_id) WHERE hold;
CREATE INDEX ix_manifests_purge_after ON manifests (purge_after) WHERE purge_after IS NOT NULL;
CREATE INDEX ix_manifests_repository_id_purge_after ON manifests (repository_id, purge_after);
CREATE INDEX ix_manifests_repository_id_subject_digest ON manifests (repository_id, subject_digest, id) WHERE subject_digest IS NOT NULL;
CREATE INDEX ix_manifests_review_after ON manifests (review_after) WHERE review_after IS NOT NULL;
CREATE TABLE project_blobs (
	project_id INTEGER NOT NULL,
	blob_id INTEGER NOT NULL,
	size BIGINT NOT NULL,
	counted BOOLEAN DEFAULT 0 NOT NULL,
	CONSTRAINT pk_project_blobs PRIMARY KEY (project_id, blob_id),
	CONSTRAINT fk_project_blobs_blob_id FOREIGN KEY(blob_id) REFERENCES blobs (id),
	CONSTRAINT fk_project_blobs_project_id FOREIGN KEY(project_id) REFERENCES projects (id)
);
CREATE INDEX ix_project_blobs_blob_id ON project_blobs (blob_id);
CREATE TABLE "project_members" (
	id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
	project_id INTEGER NOT NULL,
	user_id INTEGER,
	role TEXT NOT NULL,
	created_at BIGINT NOT NULL,
	group_id INTEGER,
	name TEXT DEFAULT '' NOT NULL,
	CONSTRAINT uq_project_members_project_id_user_id UNIQUE (project_id, user_id),
	CONSTRAINT ck_project_members_role CHECK (role IN ('project_admin', 'maintainer', 'developer', 'guest', 'limited_guest')),
	CONSTRAINT ck_project_members_entity CHECK ((user_id IS NULL) <> (group_id IS NULL)),
	CONSTRAINT fk_project_members_project_id FOREIGN KEY(project_id) REFERENCES projects (id) ON DELETE CASCADE,
	CONSTRAINT fk_project_members_user_id FOREIGN KEY(user_id) REFERENCES users (id) ON DELETE CASCADE,
	CONSTRAINT fk_project_members_group_id FOREIGN KEY(group_id) REFERENCES user_groups (id) ON DELETE CASCADE
);
CREATE INDEX ix_project_members_group_id ON project_members (group_id);
CREATE INDEX ix_project_members_name ON project_members (project_id, name, id);
CREATE INDEX ix_project_members_user_id ON project_members (user_id);
CREATE UNIQUE INDEX uq_project_members_project_id_group_id ON project_members (project_id, group_id) WHERE group_id IS NOT NULL;
CREATE TABLE project_metadata (
	project_id INTEGER NOT NULL,
	name TEXT NOT NULL,
	value TEXT NOT NULL,
	CONSTRAINT pk_project_metadata PRIMARY KEY (project_id, name),
	CONSTRAINT fk_project_metadata_project_id FOREIGN KEY(project_id) REFERENCES projects (id) ON DELETE CASCADE
);
CREATE TABLE project_usage (
	project_id INTEGER NOT NULL,
	used_bytes BIGINT DEFAULT 0 NOT NULL,
	stored_bytes BIGINT DEFAULT 0 NOT NULL,
	repository_count BIGINT DEFAULT 0 NOT NULL, artifact_count BIGINT DEFAULT 0 NOT NULL, exceeded_at BIGINT,
	CONSTRAINT pk_project_usage PRIMARY KEY (project_id),
	CONSTRAINT ck_project_usage_bytes CHECK (used_bytes >= 0 AND stored_bytes >= used_bytes),
	CONSTRAINT fk_project_usage_project_id FOREIGN KEY(project_id) REFERENCES projects (id) ON DELETE CASCADE
);
CREATE TABLE projects (
	id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
	name TEXT NOT NULL,
	owner_id INTEGER,
	public BOOLEAN DEFAULT 0 NOT NULL,
	quota_bytes BIGINT,
	undelete_window BIGINT,
	untagged_ttl BIGINT,
	sparse TEXT DEFAULT 'none' NOT NULL,
	access_version BIGINT DEFAULT 1 NOT NULL,
	created_at BIGINT NOT NULL,
	updated_at BIGINT NOT NULL,
	deleted_at BIGINT,
	purge_after BIGINT,
	deletion_id TEXT, quota_updated_at BIGINT,
	CONSTRAINT ck_projects_sparse CHECK (sparse IN ('none', 'children', 'any')),
	CONSTRAINT ck_projects_quota_bytes CHECK (quota_bytes IS NULL OR quota_bytes >= 0),
	CONSTRAINT fk_projects_owner_id FOREIGN KEY(owner_id) REFERENCES users (id)
);
CREATE INDEX ix_projects_created_at ON projects (created_at, id, public, deleted_at) WHERE deleted_at IS NULL;
CREATE INDEX ix_projects_listing ON projects (name, id, public, owner_id, deleted_at) WHERE deleted_at IS NULL;
CREATE INDEX ix_projects_owner_id ON projects (owner_id);
CREATE INDEX ix_projects_public_listing ON projects (public, name, id, owner_id, deleted_at) WHERE deleted_at IS NULL;
CREATE INDEX ix_projects_purge_after ON projects (purge_after) WHERE purge_after IS NOT NULL;
CREATE INDEX ix_projects_updated_at ON projects (updated_at, id, public, deleted_at) WHERE deleted_at IS NULL;
CREATE UNIQUE INDEX uq_projects_name ON projects (name) WHERE deleted_at IS NULL;
CREATE TABLE reclaim_steps (
	name TEXT NOT NULL,
	paused BOOLEAN DEFAULT 0 NOT NULL,
	handled BIGINT DEFAULT 0 NOT NULL,
	bytes BIGINT DEFAULT 0 NOT NULL,
	ran_at BIGINT,
	CONSTRAINT pk_reclaim_steps PRIMARY KEY (name)
);
CREATE TABLE repositories (
	id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
	project_id INTEGER NOT NULL,
	name TEXT NOT NULL,
	created_at BIGINT NOT NULL,
	listed_at BIGINT,
	deleted_at BIGINT,
	purge_after BIGINT,
	deletion_id TEXT, description TEXT DEFAULT '' NOT NULL, artifact_count BIGINT DEFAULT 0 NOT NULL, pull_count BIGINT DEFAULT 0 NOT NULL, updated_at BIGINT DEFAULT 0 NOT NULL,
	CONSTRAINT fk_repositories_project_id FOREIGN KEY(project_id) REFERENCES projects (id)
);
CREATE INDEX ix_repositories_deletion_id ON repositories (deletion_id) WHERE deletion_id IS NOT NULL;
CREATE INDEX ix_repositories_listing ON repositories (project_id, created_at, id, listed_at, deleted_at) WHERE listed_at IS NOT NULL AND deleted_at IS NULL;
CREATE INDEX ix_repositories_newest ON repositories (created_at, id, project_id, listed_at, deleted_at) WHERE listed_at IS NOT NULL AND deleted_at IS NULL;
CREATE INDEX ix_repositories_project_id ON repositories (project_id);
CREATE INDEX ix_repositories_purge_after ON repositories (purge_after) WHERE purge_after IS NOT NULL;
CREATE INDEX ix_repositories_unlisted ON repositories (created_at) WHERE listed_at IS NULL;
CREATE UNIQUE INDEX uq_repositories_name ON repositories (project_id, name) WHERE deleted_at IS NULL;
CREATE TABLE repository_blobs (
	repository_id INTEGER NOT NULL,
	blob_id INTEGER NOT NULL,
	project_id INTEGER NOT NULL,
	lease_until BIGINT,
	hidden_at BIGINT,
	CONSTRAINT pk_repository_blobs PRIMARY KEY (repository_id, blob_id),
	CONSTRAINT fk_repository_blobs_project_id_blob_id FOREIGN KEY(project_id, blob_id) REFERENCES project_blobs (project_id, blob_id),
	CONSTRAINT fk_repository_blobs_repository_id FOREIGN KEY(repository_id) REFERENCES repositories (id)
);
CREATE INDEX ix_repository_blobs_blob_id ON repository_blobs (blob_id);
CREATE INDEX ix_repository_blobs_lease_until ON repository_blobs (lease_until) WHERE lease_until IS NOT NULL;
CREATE INDEX ix_repository_blobs_project_id_blob_id ON repository_blobs (project_id, blob_id);
CREATE TABLE robots (
	id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
	name TEXT NOT NULL,
	level TEXT NOT NULL,
	project_id INTEGER,
	description TEXT DEFAULT '' NOT NULL,
	secret_hash TEXT NOT NULL,
	permissions TEXT NOT NULL,
	duration_days BIGINT NOT NULL,
	expires_at BIGINT,
	disabled BOOLEAN DEFAULT 0 NOT NULL,
	creator TEXT NOT NULL,
	access_version BIGINT DEFAULT 1 NOT NULL,
	created_at BIGINT NOT NULL,
	updated_at BIGINT NOT NULL, previous_secret_hash TEXT, previous_secret_until BIGINT, creator_type TEXT DEFAULT 'local' NOT NULL, creator_ref INTEGER DEFAULT 0 NOT NULL,
	CONSTRAINT ck_robots_project CHECK ((level = 'system') = (project_id IS NULL)),
	CONSTRAINT ck_robots_level CHECK (level IN ('system', 'project')),
	CONSTRAINT fk_robots_project_id FOREIGN KEY(project_id) REFERENCES projects (id) ON DELETE CASCADE
);
CREATE UNIQUE INDEX uq_robots_project_name ON robots (project_id, name);
CREATE UNIQUE INDEX uq_robots_system_name ON robots (name) WHERE project_id IS NULL;
CREATE TABLE sessions (
	id_hash TEXT NOT NULL,
	user_id INTEGER NOT NULL,
	access_version BIGINT NOT NULL,
	created_at BIGINT NOT NULL,
	renewed_at BIGINT NOT NULL,
	expires_at BIGINT NOT NULL,
	CONSTRAINT pk_sessions PRIMARY KEY (id_hash),
	CONSTRAINT fk_sessions_user_id FOREIGN KEY(user_id) REFERENCES users (id) ON DELETE CASCADE
);
CREATE INDEX ix_sessions_expires_at ON sessions (expires_at);
CREATE INDEX ix_sessions_user_id ON sessions (user_id);
CREATE TABLE sign_in_failures (
	source TEXT NOT NULL,
	account TEXT NOT NULL,
	failures INTEGER NOT NULL,
	blocked_until BIGINT NOT NULL,
	at BIGINT NOT NULL,
	CONSTRAINT pk_sign_in_failures PRIMARY KEY (source, account)
);
CREATE INDEX ix_sign_in_failures_at ON sign_in_failures (at);
CREATE TABLE tag_journal (
	id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
	repository_id INTEGER NOT NULL,
	name TEXT NOT NULL,
	digest TEXT NOT NULL,
	deletion_id TEXT,
	action TEXT NOT NULL,
	actor TEXT NOT NULL,
	reason TEXT DEFAULT '' NOT NULL,
	at BIGINT NOT NULL,
	CONSTRAINT ck_tag_journal_action CHECK (action IN ('created', 'moved', 'deleted', 'restored'))
);
CREATE INDEX ix_tag_journal_deletion_id ON tag_journal (deletion_id) WHERE deletion_id IS NOT NULL;
CREATE INDEX ix_tag_journal_repository_id_name_id ON tag_journal (repository_id, name, id);
CREATE TABLE tags (
	repository_id INTEGER NOT NULL,
	name TEXT NOT NULL,
	manifest_id INTEGER NOT NULL,
	version BIGINT DEFAULT 1 NOT NULL,
	subject_digest TEXT,
	pushed_at BIGINT NOT NULL,
	pulled_at BIGINT,
	pull_count BIGINT DEFAULT 0 NOT NULL, id INTEGER,
	CONSTRAINT pk_tags PRIMARY KEY (repository_id, name),
	CONSTRAINT fk_tags_manifest_id FOREIGN KEY(manifest_id) REFERENCES manifests (id) ON DELETE RESTRICT,
	CONSTRAINT fk_tags_repository_id FOREIGN KEY(repository_id) REFERENCES repositories (id)
);
CREATE UNIQUE INDEX ix_tags_id ON tags (id);
CREATE INDEX ix_tags_manifest_id ON tags (manifest_id);
CREATE INDEX ix_tags_repository_id_subject_digest ON tags (repository_id, subject_digest) WHERE subject_digest IS NOT NULL;
CREATE TABLE trash (
	"key" TEXT NOT NULL,
	location TEXT DEFAULT '' NOT NULL,
	backend TEXT DEFAULT '{}' NOT NULL,
	purge_after BIGINT NOT NULL,
	swept_at BIGINT,
	CONSTRAINT pk_trash PRIMARY KEY ("key")
);
CREATE INDEX ix_trash_purge_after ON trash (purge_after);
CREATE TABLE upload_keys (
	"key" TEXT NOT NULL,
	session_id TEXT NOT NULL,
	role TEXT NOT NULL,
	backend TEXT DEFAULT '{}' NOT NULL,
	CONSTRAINT pk_upload_keys PRIMARY KEY ("key"),
	CONSTRAINT ck_upload_keys_role CHECK (role IN ('body', 'copy', 'tail')),
	CONSTRAINT fk_upload_keys_session_id FOREIGN KEY(session_id) REFERENCES upload_sessions (id)
);
CREATE INDEX ix_upload_keys_session_id ON upload_keys (session_id);
CREATE UNIQUE INDEX uq_upload_keys_body ON upload_keys (session_id) WHERE role = 'body';
CREATE TABLE upload_sessions (
	id TEXT NOT NULL,
	repository_id INTEGER NOT NULL,
	bytes BIGINT DEFAULT 0 NOT NULL,
	digest_so_far TEXT,
	algorithm TEXT DEFAULT 'sha256' NOT NULL,
	verified_digest TEXT,
	state TEXT DEFAULT 'open' NOT NULL,
	owner TEXT,
	owner_until BIGINT,
	created_at BIGINT NOT NULL,
	expires_at BIGINT NOT NULL,
	CONSTRAINT pk_upload_sessions PRIMARY KEY (id),
	CONSTRAINT ck_upload_sessions_state CHECK (state IN ('open', 'receiving', 'completing', 'done')),
	CONSTRAINT ck_upload_sessions_bytes CHECK (bytes >= 0),
	CONSTRAINT fk_upload_sessions_repository_id FOREIGN KEY(repository_id) REFERENCES repositories (id)
);
CREATE INDEX ix_upload_sessions_expires_at ON upload_sessions (expires_at);
CREATE INDEX ix_upload_sessions_repository_id ON upload_sessions (repository_id);
CREATE TABLE user_group_members (
	user_id INTEGER NOT NULL,
	group_id INTEGER NOT NULL,
	CONSTRAINT pk_user_group_members PRIMARY KEY (user_id, group_id),
	CONSTRAINT fk_user_group_members_user_id FOREIGN KEY(user_id) REFERENCES users (id) ON DELETE CASCADE,
	CONSTRAINT fk_user_group_members_group_id FOREIGN KEY(group_id) REFERENCES user_groups (id) ON DELETE CASCADE
);
CREATE INDEX ix_user_group_members_group_id ON user_group_members (group_id);
CREATE TABLE user_groups (
	id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
	type TEXT NOT NULL,
	name TEXT NOT NULL,
	ldap_dn TEXT,
	"key" TEXT NOT NULL,
	created_at BIGINT NOT NULL,
	updated_at BIGINT NOT NULL,
	CONSTRAINT ck_user_groups_type CHECK (type IN ('ldap', 'http', 'oidc')),
	CONSTRAINT ck_user_groups_ldap_dn CHECK ((type = 'ldap') = (ldap_dn IS NOT NULL)),
	CONSTRAINT uq_user_groups_type_key UNIQUE (type, "key")
);
CREATE INDEX ix_user_groups_name ON user_groups (name);
CREATE INDEX ix_user_groups_type ON user_groups (type, id);
CREATE TABLE users (
	id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
	username TEXT NOT NULL,
	email TEXT,
	realname TEXT DEFAULT '' NOT NULL,
	comment TEXT DEFAULT '' NOT NULL,
	password_hash TEXT NOT NULL,
	sysadmin BOOLEAN DEFAULT 0 NOT NULL,
	access_version BIGINT DEFAULT 1 NOT NULL,
	created_at BIGINT NOT NULL,
	updated_at BIGINT NOT NULL,
	deleted_at BIGINT
, disabled BOOLEAN DEFAULT 0 NOT NULL);
CREATE INDEX ix_users_listing ON users (username, id, email, deleted_at) WHERE deleted_at IS NULL;
CREATE UNIQUE INDEX uq_users_email ON users (email) WHERE deleted_at IS NULL AND email IS NOT NULL;
CREATE UNIQUE INDEX uq_users_username ON users (username) WHERE deleted_at IS NULL;
