# SPDX-License-Identifier: Apache-2.0
"""Harbor's rights as its documentation tells them, typed here a second time: what the code says is compared with this.

Letters as in Harbor's tables: C create, R read, U update, D delete, L list; other actions by their name.
"""

from __future__ import annotations

from typing import Final

from longshore.access.models import Permission, Role

ROLE_COLUMNS: Final = (
    Role.PROJECT_ADMIN,
    Role.MAINTAINER,
    Role.DEVELOPER,
    Role.GUEST,
    Role.LIMITED_GUEST,
    None,
)
"""Whose columns `ROLES` has; None is anybody, in a public project."""

ROLES: Final = """
project             | RUD             | R               | R              | R       | R       | R
member              | CRUDL           | RL              | RL             | RL      | -       | -
metadata            | CRUD            | R               | -              | -       | -       | -
log                 | L               | -               | -              | -       | -       | -
label               | CRUDL           | CRUDL           | RL             | RL      | -       | RL
quota               | R               | R               | R              | R       | R       | -
repository          | CRUDL pull push | CRUDL pull push | CRUL pull push | RL pull | RL pull | L pull
tag-retention       | CRUDL operate   | CRUDL operate   | CRUDL operate  | -       | -       | -
immutable-tag       | CUDL            | CUDL            | -              | -       | -       | -
configuration       | RU              | R               | R              | R       | R       | -
robot               | CRUDL           | RL              | RL             | RL      | -       | -
notification-policy | CRUDL           | RL              | -              | -       | -       | -
scan                | CR stop         | CR stop         | R              | R       | R       | R
sbom                | CR stop         | CR stop         | R              | R       | R       | -
scanner             | CR              | R               | R              | R       | R       | R
artifact            | CRDL            | CRDL            | CRL            | RL      | RL      | RL
artifact-addition   | R               | R               | R              | R       | R       | R
tag                 | CDL             | CDL             | CL             | L       | L       | L
accessory           | L               | L               | L              | L       | L       | L
artifact-label      | CD              | CD              | CD             | -       | -       | -
preheat-policy      | CRUDL           | -               | -              | -       | -       | -
export-cve          | CRL             | CRL             | CRL            | -       | -       | -
"""
"""What a role may do in its project, by the kind of resource."""

SYSTEM_ROBOTS: Final = """
audit-log L; preheat-instance CRUDL; project CL; replication-policy CRUDL; replication CRL; replication-adapter L;
registry CRUDL; scan-all CRU stop; system-volumes R; garbage-collection CRUL stop; purge-audit CRUL stop;
jobservice-monitor L stop; scanner CRUDL; label CRUD; security-hub RL; catalog R; quota RUL; robot CRDL; user CRUDL;
ldap-user CL; user-group CRUDL
"""
"""What a robot can be given in the system."""

PROJECT_ROBOTS: Final = """
log L; project RUD; metadata CRUDL; repository RUDL pull push; artifact CRDL; scan CR stop; sbom CR stop; tag CDL;
accessory L; artifact-addition R; artifact-label CD; scanner CR; preheat-policy CRUDL; immutable-tag CUDL;
notification-policy CRUDL; tag-retention CRUDL; label CRUDL; quota R; robot CRDL; export-cve CR; member CRUDL
"""
"""What a robot can be given in a project."""

NEEDS: Final = """
actionGetJobLog                    system jobservice-monitor:list
actionPendingJobs                  system jobservice-monitor:stop
addLabel                           project artifact-label:create
addProjectMetadatas                project metadata:create
CopyArtifact                       project artifact:create
createGCSchedule                   system garbage-collection:create
CreateImmuRule                     project immutable-tag:create
CreateInstance                     system preheat-instance:create
CreateLabel-global                 system label:create
CreateLabel-project                project label:create
CreatePolicy                       project preheat-policy:create
createProject                      person or system project:create
createProjectMember                project member:create
createPurgeSchedule                system purge-audit:create
createRegistry                     system registry:create
createReplicationPolicy            system replication-policy:create
createRetention                    project tag-retention:create
CreateRobot-project                project robot:create
CreateRobot-system                 system robot:create
createScanAllSchedule              system scan-all:create
createScanner                      system scanner:create
createTag                          project tag:create
createUser                         system user:create
createUserGroup                    system user-group:create
CreateWebhookPolicyOfProject       project notification-policy:create
deleteArtifact                     project artifact:delete
DeleteImmuRule                     project immutable-tag:delete
DeleteInstance                     system preheat-instance:delete
DeleteLabel-global                 system label:delete
DeleteLabel-project                project label:delete
DeletePolicy                       project preheat-policy:delete
deleteProject                      project project:delete
deleteProjectMember                project member:delete
deleteProjectMetadata              project metadata:delete
deleteRegistry                     system registry:delete
deleteReplicationPolicy            system replication-policy:delete
deleteRepository                   project repository:delete
deleteRetention                    project tag-retention:delete
DeleteRobot-project                project robot:delete
DeleteRobot-system                 system robot:delete
deleteScanner                      system scanner:delete
deleteTag                          project tag:delete
deleteUser                         system user:delete
deleteUserGroup                    system user-group:delete
DeleteWebhookPolicyOfProject       project notification-policy:delete
downloadScanData                   project export-cve:read
exportScanData                     project export-cve:create
getAddition                        project artifact-addition:read
getArtifact                        project artifact:read
getCert                            nobody
getConfigurations                  system configuration:read
getCurrentUserInfo                 login
getCurrentUserPermissions          login
GetExecution                       project preheat-policy:read
getGC                              system garbage-collection:read
getGCHistory                       system garbage-collection:list
getGCLog                           system garbage-collection:read
getGCSchedule                      system garbage-collection:read
getHealth                          nobody
getIcon                            nobody
getInternalconfig                  internal
GetInstance                        system preheat-instance:read
GetLabelByID-global                system label:read
GetLabelByID-project               project label:read
getLatestScanAllMetrics            system scan-all:read
getLatestScheduledScanAllMetrics   system scan-all:read
getLogExts                         project log:list
getLogs                            project log:list
GetLogsOfWebhookTask               project notification-policy:read
getPermissions                     project administrator
getPing                            nobody
GetPolicy                          project preheat-policy:read
GetPreheatLog                      project preheat-policy:read
getProject                         project project:read
getProjectDeletable                project project:delete
getProjectMember                   project member:read
getProjectMetadata                 project metadata:read
getProjectSummary                  project project:read
getPurgeHistory                    system purge-audit:list
getPurgeJob                        system purge-audit:read
getPurgeJobLog                     system purge-audit:read
getPurgeSchedule                   system purge-audit:read
getQuota                           system quota:read
getRegistry                        system registry:read
getRegistryInfo                    system registry:read
getRentenitionMetadata             login
getReplicationExecution            system replication:read
getReplicationLog                  system replication:read
getReplicationPolicy               system replication-policy:read
getReportLog                       project scan:read
getRepository                      project repository:read
getRetention                       project tag-retention:read
getRetentionTaskLog                project tag-retention:read
GetRobotByID-project               project robot:read
GetRobotByID-system                system robot:read
getScanAllSchedule                 system scan-all:read
getScanDataExportExecution         project export-cve:read
getScanDataExportExecutionList     login
getScanner                         system scanner:read
getScannerMetadata                 system scanner:read
getScannerOfProject                project scanner:read
getSchedulePaused                  login
getSecuritySummary                 system security-hub:read
getStatistic                       login
GetSupportedEventTypes             project notification-policy:read
getSystemCVEAllowlist              login
getSystemInfo                      nobody
getUser                            system user:read
getUserGroup                       system user-group:read
getVersion                         nobody
getVolumes                         system system-volumes:read
getVulnerabilitiesAddition         project artifact-addition:read
GetWebhookPolicyOfProject          project notification-policy:read
getWorkerPools                     system jobservice-monitor:list
getWorkers                         system jobservice-monitor:list
headProject                        login
importLdapUser                     system ldap-user:create
LastTrigger                        project notification-policy:read
listAccessories                    project accessory:list
listAllRepositories                nobody
listArtifacts                      project artifact:list
listArtifactsOfProject             project artifact:list
listAuditLogEventTypes             system audit-log:list
listAuditLogExts                   login
listAuditLogs                      login
ListExecutions                     project preheat-policy:list
ListExecutionsOfWebhookPolicy      project notification-policy:read
ListImmuRules                      project immutable-tag:list
ListInstances                      system preheat-instance:list
listJobQueues                      system jobservice-monitor:list
ListLabels-global                  nobody
ListLabels-project                 project label:list
ListPolicies                       project preheat-policy:list
listProjectMembers                 project member:list
listProjectMetadatas               project metadata:list
listProjects                       nobody
ListProviders                      system preheat-instance:list
ListProvidersUnderProject          project preheat-policy:list
listQuotas                         system quota:list
listRegistries                     system registry:list
listRegistryProviderInfos          system replication-adapter:list
listRegistryProviderTypes          system replication-adapter:list
listReplicationExecutions          system replication:list
listReplicationPolicies            system replication-policy:list
listReplicationTasks               system replication:list
listRepositories                   project repository:list
listRetentionExecutions            project tag-retention:list
listRetentionTasks                 project tag-retention:list
ListRobot-project                  project robot:list
ListRobot-system                   system robot:list
listScannerCandidatesOfProject     project scanner:create
listScanners                       system scanner:list
listSchedules                      system jobservice-monitor:list
listTags                           project tag:list
ListTasks                          project preheat-policy:list
ListTasksOfWebhookExecution        project notification-policy:read
listUserGroups                     system user-group:list
listUsers                          system user:list
ListVulnerabilities                system security-hub:list
ListWebhookJobs                    project notification-policy:list
ListWebhookPoliciesOfProject       project notification-policy:list
ManualPreheat                      project preheat-policy:read
operateRetentionExecution          project tag-retention:update
PingInstances                      system preheat-instance:read
pingLdap                           system configuration:read
pingOIDC                           system configuration:update
pingRegistry                       system registry:read
pingScanner                        system scanner:read
putSystemCVEAllowlist              system configuration:update
RefreshSec-project                 project robot:update
RefreshSec-system                  system robot:update
removeLabel                        project artifact-label:delete
scanArtifact                       project scan:create
search                             nobody
searchLdapGroup                    system ldap-user:list
searchLdapUser                     system ldap-user:list
searchUserGroups                   login
searchUsers                        login
setCliSecret                       system user:update
setScannerAsDefault                system scanner:update
setScannerOfProject                project scanner:create
setUserSysAdmin                    system user:update
startReplication                   system replication:create
StopExecution                      project preheat-policy:update
stopGC                             system garbage-collection:stop
stopPurge                          system purge-audit:stop
stopReplication                    system replication:create
stopRunningJob                     system jobservice-monitor:stop
stopScanAll                        system scan-all:stop
stopScanArtifact                   project scan:stop
triggerRetentionExecution          project tag-retention:update
updateConfigurations               system configuration:update
updateGCSchedule                   system garbage-collection:update
UpdateImmuRule                     project immutable-tag:update
UpdateInstance                     system preheat-instance:update
UpdateLabel-global                 system label:update
UpdateLabel-project                project label:update
UpdatePolicy                       project preheat-policy:update
updateProject                      project project:update
updateProjectMember                project member:update
updateProjectMetadata              project metadata:update
updatePurgeSchedule                system purge-audit:update
updateQuota                        system quota:update
updateRegistry                     system registry:update
updateReplicationPolicy            system replication-policy:update
updateRepository                   project repository:update
updateRetention                    project tag-retention:update
UpdateRobot-project                project robot:update
UpdateRobot-system                 system robot:update
updateScanAllSchedule              system scan-all:update
updateScanner                      system scanner:update
updateUserGroup                    system user-group:update
updateUserPassword                 system user:update
updateUserProfile                  system user:update
UpdateWebhookPolicyOfProject       project notification-policy:update
"""
"""What an operation needs of its caller: nobody in particular, a login, or a permission in its project or in the system;
`internal` is for processes of Harbor itself.

An operation that is about things of the system and of projects has a line for each, with the case behind its name.
"""

_ACTIONS: Final = {"C": "create", "R": "read", "U": "update", "D": "delete", "L": "list"}


def actions(cell: str) -> frozenset[str]:
    """The actions that a cell names."""
    words = [] if cell.strip() == "-" else cell.split()
    return frozenset(
        name for word in words for name in ([_ACTIONS[letter] for letter in word] if word.isupper() else [word])
    )


def role_permissions() -> dict[Role | None, frozenset[Permission]]:
    """What each role may do in its project; None is anybody, in a public one."""
    found: dict[Role | None, set[Permission]] = {column: set() for column in ROLE_COLUMNS}
    for line in ROLES.strip().splitlines():
        resource, *cells = (part.strip() for part in line.split("|"))
        for column, cell in zip(ROLE_COLUMNS, cells, strict=True):
            found[column].update(Permission(resource, action) for action in actions(cell))
    return {column: frozenset(permissions) for column, permissions in found.items()}


def robot_permissions(text: str) -> frozenset[Permission]:
    """What one of the two lists for robots names."""
    entries = (entry.split(maxsplit=1) for entry in text.replace("\n", " ").split(";"))
    return frozenset(Permission(resource, action) for resource, cell in entries for action in actions(cell))


def needs() -> dict[str, str]:
    """What each operation needs, by its name and case."""
    lines = (line.partition(" ") for line in NEEDS.strip().splitlines())
    return {name: need.strip() for name, _, need in lines}
