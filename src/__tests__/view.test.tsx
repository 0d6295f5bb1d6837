import { nullTranslator } from '@jupyterlab/translation';
import * as React from 'react';
import { act } from 'react';
import type { Root } from 'react-dom/client';
import { createRoot } from 'react-dom/client';

import { ApiError } from '../api';
import type { EnvironmentsState, IEnvironment } from '../tokens';
import { EnvironmentsView, groupByKind } from '../view';
import { environment } from './given';

const trans = nullTranslator.load('jupyter_exec_ext');

let host: HTMLElement;
let root: Root;

beforeEach(() => {
  host = document.body.appendChild(document.createElement('div'));
  root = createRoot(host);
});

afterEach(() => {
  act(() => root.unmount());
  host.remove();
});

function show(state: EnvironmentsState, onRetry: () => void = jest.fn()): void {
  act(() =>
    root.render(
      <EnvironmentsView state={state} trans={trans} onRetry={onRetry} />
    )
  );
}

function list(...environments: IEnvironment[]): void {
  show({ phase: 'listed', environments });
}

function item(name: string): HTMLElement {
  const found = [...host.querySelectorAll('li')].find(
    node => node.dataset.environment === name
  );
  if (!found) {
    throw new Error(`There is no item ${name}.`);
  }
  return found;
}

describe('the list', () => {
  it('shows an environment with all that is known about it', () => {
    list(environment({ isDefault: true }));

    expect(item('local').textContent).toContain('Local command line');
    expect(item('local').textContent).toContain('default');
    expect(item('local').textContent).toContain('not isolated');
    expect(item('local').textContent).toContain('ready');
    expect(item('local').textContent).toContain('python, bash');
  });

  it('shows the name that requests give where it is another', () => {
    list(
      environment(),
      environment({ name: 'venv:x', displayName: 'Analysis' }),
      environment({ name: 'venv:y', displayName: 'venv:y' })
    );

    const id = (name: string) =>
      item(name).querySelector('.jp-Exec-id')?.textContent;
    expect(id('local')).toBe('local');
    expect(id('venv:x')).toBe('venv:x');
    expect(id('venv:y')).toBeUndefined();
    expect(item('venv:y').textContent).toContain('venv:y');
  });

  it.each([
    ['none', 'not isolated'],
    ['process', 'process'],
    ['container', 'container']
  ] as const)('says of isolation %s: %s', (isolation, words) => {
    list(environment({ isolation }));

    const badge = item('local').querySelector('.jp-Exec-isolation');
    expect(badge?.textContent).toBe(words);
  });

  it.each([
    ['pid_namespace', 'Stop ends everything it has started'],
    ['subreaper', 'unless it kills its own supervisor'],
    ['process_group', 'Stop may miss programs that leave their group']
  ])('says how far stop reaches with %s', (guarantee, words) => {
    list(environment({ guarantee }));

    const badge = item('local').querySelector('.jp-Exec-isolation');
    expect(badge?.getAttribute('title')).toContain(words);
  });

  it('gives the reason of an environment that is not ready', () => {
    list(
      environment({ status: 'unavailable', reason: 'The interpreter is gone.' })
    );

    expect(item('local').textContent).toContain('unavailable');
    expect(item('local').textContent).toContain('The interpreter is gone.');
    expect(item('local').dataset.status).toBe('unavailable');
  });

  it('has a heading for each kind, in a fixed order, unknown kinds last', () => {
    list(
      environment({ name: 'pod:a', kind: 'pod' }),
      environment({ name: 'venv:a', kind: 'venv' }),
      environment({ name: 'docker:a', kind: 'docker' }),
      environment()
    );

    const headings = [...host.querySelectorAll('h4')].map(h => h.textContent);
    expect(headings).toEqual([
      'Local command line',
      'Virtual environments',
      'Containers',
      'pod'
    ]);
  });

  it('can be reached with the keyboard, because it scrolls', () => {
    list(environment());

    const region = host.querySelector<HTMLElement>('[role="region"]');
    expect(region?.tabIndex).toBe(0);
    expect(region?.getAttribute('aria-label')).toBe('List of environments');
  });

  it('shows hostile names as text', () => {
    const markup = '<img src=x onerror="window.hacked = 1"><b>bold</b>';
    list(
      environment({
        name: `venv:${markup}`,
        kind: markup,
        displayName: markup,
        languages: [markup],
        status: 'unavailable',
        reason: `${markup} javascript:alert(1) \u202Etxt`
      })
    );

    expect(host.querySelector('img, b, a, script')).toBeNull();
    expect(host.textContent).toContain(markup);
    expect(host.textContent).not.toContain('\u202E');
  });
});

describe('groupByKind', () => {
  it('keeps the order of the server within a kind', () => {
    const names = ['venv:b', 'venv:a', 'venv:c'];
    const groups = groupByKind(
      names.map(name => environment({ name, kind: 'venv' }))
    );

    expect(groups).toHaveLength(1);
    expect(groups[0][1].map(({ name }) => name)).toEqual(names);
  });
});

describe('without a list', () => {
  it('says that it is loading', () => {
    show({ phase: 'loading' });

    expect(host.querySelector('[role="status"]')?.textContent).toContain(
      'Looking for environments'
    );
  });

  it('says that there is none', () => {
    list();

    expect(host.querySelector('[role="status"]')?.textContent).toContain(
      'No environments'
    );
  });

  it.each([
    ['unreachable', 'does not answer'],
    ['missing', 'not enabled'],
    ['forbidden', 'may not see'],
    ['other', 'cannot be used']
  ] as const)('explains the failure %s', (failure, words) => {
    show({ phase: 'failed', error: new ApiError(failure, '<i>detail</i>') });

    const alert = host.querySelector('[role="alert"]');
    expect(alert?.textContent).toContain(words);
    expect(alert?.textContent).toContain('<i>detail</i>');
    expect(host.querySelector('i')).toBeNull();
  });

  it('offers to try again', () => {
    const onRetry = jest.fn();
    show({ phase: 'failed', error: new ApiError('unreachable') }, onRetry);

    act(() => host.querySelector('button')?.click());

    expect(onRetry).toHaveBeenCalledTimes(1);
  });
});
