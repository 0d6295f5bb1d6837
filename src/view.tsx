import type { TranslationBundle } from '@jupyterlab/translation';
import { Button } from '@jupyterlab/ui-components';
import * as React from 'react';

import { ApiError } from './api';
import { plain } from './text';
import type { EnvironmentsState, IEnvironment } from './tokens';
import { KINDS } from './tokens';

/** What a component needs: the words, and what it shows. */
interface IViewProps {
  readonly trans: TranslationBundle;
}

interface IEnvironmentsViewProps extends IViewProps {
  readonly state: EnvironmentsState;
  /** What the button of the error state does. */
  readonly onRetry: () => void;
}

/** The environments, or why there are none to see. */
export function EnvironmentsView(props: IEnvironmentsViewProps): JSX.Element {
  const { state, trans, onRetry } = props;
  switch (state.phase) {
    case 'loading':
      return <Loading trans={trans} />;
    case 'failed':
      return <Failed trans={trans} error={state.error} onRetry={onRetry} />;
    case 'listed':
      return state.environments.length > 0 ? (
        <Groups trans={trans} environments={state.environments} />
      ) : (
        <Empty trans={trans} />
      );
  }
}

function Loading({ trans }: IViewProps): JSX.Element {
  return (
    <div className="jp-Exec-message" role="status">
      <span className="jp-Exec-spinner" aria-hidden="true" />
      <p>{trans.__('Looking for environments…')}</p>
    </div>
  );
}

function Empty({ trans }: IViewProps): JSX.Element {
  return (
    <div className="jp-Exec-message" role="status">
      <p className="jp-Exec-messageTitle">{trans.__('No environments')}</p>
      <p>
        {trans.__(
          'This server offers no place where code can run. Its administrator decides which there are.'
        )}
      </p>
    </div>
  );
}

interface IFailedProps extends IViewProps {
  readonly error: Error;
  readonly onRetry: () => void;
}

function Failed({ trans, error, onRetry }: IFailedProps): JSX.Element {
  const detail = error instanceof ApiError ? error.detail : error.message;
  return (
    <div className="jp-Exec-message jp-mod-error" role="alert">
      <p className="jp-Exec-messageTitle">
        {trans.__('The environments cannot be shown')}
      </p>
      <p>{explain(error, trans)}</p>
      {detail && (
        <p className="jp-Exec-detail">
          <bdi>{plain(detail)}</bdi>
        </p>
      )}
      <Button small onClick={onRetry}>
        {trans.__('Try again')}
      </Button>
    </div>
  );
}

function explain(error: Error, trans: TranslationBundle): string {
  switch (error instanceof ApiError ? error.failure : 'other') {
    case 'unreachable':
      return trans.__('The server does not answer. Check that it is running.');
    case 'unavailable':
      return trans.__('The server cannot answer just now.');
    case 'missing':
      return trans.__(
        'The server part of this extension is not enabled. Enable it and restart the server.'
      );
    case 'forbidden':
      return trans.__('You may not see the environments of this server.');
    default:
      return trans.__('The server gave an answer that cannot be used.');
  }
}

interface IGroupsProps extends IViewProps {
  readonly environments: readonly IEnvironment[];
}

function Groups({ trans, environments }: IGroupsProps): JSX.Element {
  return (
    <div
      className="jp-Exec-groups"
      role="region"
      aria-label={trans.__('List of environments')}
      // It scrolls, so it has to be reachable with the keyboard.
      tabIndex={0}
    >
      {groupByKind(environments).map(([kind, members]) => (
        <section key={kind} aria-label={titleOf(kind, trans)}>
          <h4 className="jp-Exec-groupTitle">{titleOf(kind, trans)}</h4>
          <ul className="jp-Exec-list">
            {members.map(environment => (
              <Item
                key={environment.name}
                trans={trans}
                environment={environment}
              />
            ))}
          </ul>
        </section>
      ))}
    </div>
  );
}

/** The environments by kind: the known kinds first and in their order, then the others. */
export function groupByKind(
  environments: readonly IEnvironment[]
): [string, IEnvironment[]][] {
  const groups = new Map<string, IEnvironment[]>(KINDS.map(kind => [kind, []]));
  for (const environment of environments) {
    const group = groups.get(environment.kind) ?? [];
    groups.set(environment.kind, [...group, environment]);
  }
  return [...groups].filter(([, members]) => members.length > 0);
}

function titleOf(kind: string, trans: TranslationBundle): string {
  switch (kind) {
    case 'kernel':
      return trans.__('Kernels');
    case 'local':
      return trans.__('Local command line');
    case 'venv':
      return trans.__('Virtual environments');
    case 'sandbox':
      return trans.__('Sandboxes');
    case 'docker':
      return trans.__('Containers');
    case 'slurm':
      return trans.__('Cluster');
    default:
      return plain(kind);
  }
}

interface IItemProps extends IViewProps {
  readonly environment: IEnvironment;
}

function Item({ trans, environment }: IItemProps): JSX.Element {
  const { status, reason, languages } = environment;
  return (
    <li
      className="jp-Exec-item"
      data-environment={environment.name}
      data-status={status}
    >
      <div className="jp-Exec-itemHead">
        <span className="jp-Exec-names">
          <bdi className="jp-Exec-name">{plain(environment.displayName)}</bdi>
          {environment.name !== environment.displayName && (
            <bdi
              className="jp-Exec-id"
              title={trans.__('The name that requests give')}
            >
              {plain(environment.name)}
            </bdi>
          )}
        </span>
        {environment.isDefault && (
          <span
            className="jp-Exec-badge jp-mod-default"
            title={trans.__(
              'Code that names no environment of its own runs here'
            )}
          >
            {trans.__('default')}
          </span>
        )}
      </div>
      <div className="jp-Exec-itemBody">
        <Status trans={trans} environment={environment} />
        <IsolationBadge trans={trans} environment={environment} />
      </div>
      {languages.length > 0 && (
        <p className="jp-Exec-languages">
          <bdi>{languages.map(plain).join(', ')}</bdi>
        </p>
      )}
      {reason && (
        <p className="jp-Exec-reason">
          <bdi>{plain(reason)}</bdi>
        </p>
      )}
    </li>
  );
}

function Status({ trans, environment }: IItemProps): JSX.Element {
  const words = {
    ready: trans.__('ready'),
    preparing: trans.__('preparing'),
    unavailable: trans.__('unavailable')
  };
  return (
    <span className="jp-Exec-status">
      <span className="jp-Exec-statusMark" aria-hidden="true" />
      {words[environment.status]}
    </span>
  );
}

function IsolationBadge({ trans, environment }: IItemProps): JSX.Element {
  const [text, title] = {
    none: [
      trans.__('not isolated'),
      trans.__('Code runs with all the rights of the user who runs the server')
    ],
    process: [
      trans.__('process'),
      trans.__('Code runs in a sandboxed process on the machine of the server')
    ],
    container: [
      trans.__('container'),
      trans.__('Code runs in a container of its own')
    ]
  }[environment.isolation];
  return (
    <span
      className="jp-Exec-badge jp-Exec-isolation"
      data-isolation={environment.isolation}
      title={[title, stopWords(trans, environment.guarantee)]
        .filter(words => words)
        .join('\n')}
    >
      {text}
    </span>
  );
}

/** How far stop reaches, in words; '' where the server does not say. */
function stopWords(
  trans: IItemProps['trans'],
  guarantee: string | null
): string {
  switch (guarantee) {
    case null:
      return '';
    case 'pid_namespace':
    case 'job_object':
      return trans.__('Stop ends everything it has started');
    case 'subreaper':
      return trans.__(
        'Stop ends everything it has started, unless it kills its own supervisor'
      );
    default:
      return trans.__('Stop may miss programs that leave their group');
  }
}
