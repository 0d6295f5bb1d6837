import type { ITranslator, TranslationBundle } from '@jupyterlab/translation';
import {
  CommandToolbarButton,
  PanelWithToolbar,
  ReactWidget,
  SidePanel
} from '@jupyterlab/ui-components';
import type { CommandRegistry } from '@lumino/commands';
import type { IDisposable } from '@lumino/disposable';
import type { Message } from '@lumino/messaging';
import * as React from 'react';

import { execIcon } from './icon';
import type { IEnvironmentsModel } from './tokens';
import { CommandIDs } from './tokens';
import { EnvironmentsView } from './view';

/** The id of the panel in the shell. */
export const PANEL_WIDGET = 'jupyter-exec-ext-panel';

/** The environments as a widget: it follows the model while it can be seen. */
export class EnvironmentsWidget extends ReactWidget {
  constructor(
    private readonly _model: IEnvironmentsModel,
    private readonly _trans: TranslationBundle
  ) {
    super();
    this.addClass('jp-Exec-environments');
  }

  protected render(): JSX.Element {
    return (
      <EnvironmentsView
        state={this._model.state}
        trans={this._trans}
        onRetry={() => void this._model.refresh()}
      />
    );
  }

  protected onAfterShow(msg: Message): void {
    super.onAfterShow(msg);
    this._follow();
  }

  protected onBeforeHide(msg: Message): void {
    this._rest();
    super.onBeforeHide(msg);
  }

  protected onAfterAttach(msg: Message): void {
    super.onAfterAttach(msg);
    if (this.isVisible) {
      this._follow();
    }
  }

  protected onBeforeDetach(msg: Message): void {
    this._rest();
    super.onBeforeDetach(msg);
  }

  private _follow(): void {
    this._model.stateChanged.connect(this.update, this);
    this._watch ??= this._model.watch();
    this.update();
  }

  private _rest(): void {
    this._model.stateChanged.disconnect(this.update, this);
    this._watch?.dispose();
    this._watch = null;
  }

  private _watch: IDisposable | null = null;
}

/** The side panel; today it has one section, the environments. */
export class ExecPanel extends SidePanel {
  constructor(options: ExecPanel.IOptions) {
    super({ translator: options.translator });
    const trans = options.translator.load('jupyter_exec_ext');
    this.id = PANEL_WIDGET;
    this.addClass('jp-Exec-panel');
    this.title.icon = execIcon;
    this.title.caption = trans.__('Code execution');
    this.node.setAttribute('role', 'region');
    this.node.setAttribute('aria-label', trans.__('Code execution'));

    const section = new PanelWithToolbar();
    section.title.label = trans.__('Environments');
    section.toolbar.addItem(
      'refresh',
      new CommandToolbarButton({
        commands: options.commands,
        id: CommandIDs.refresh,
        label: ''
      })
    );
    section.addWidget(new EnvironmentsWidget(options.model, trans));
    this.addWidget(section);
  }
}

export namespace ExecPanel {
  export interface IOptions {
    model: IEnvironmentsModel;
    commands: CommandRegistry;
    translator: ITranslator;
  }
}
