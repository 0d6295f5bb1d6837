import { LabIcon } from '@jupyterlab/ui-components';

/** A prompt in a box that is open on one side: code that goes to run somewhere. */
export const execIcon = new LabIcon({
  name: 'jupyter_exec_ext:exec',
  svgstr: `<svg xmlns="http://www.w3.org/2000/svg" width="16" viewBox="0 0 24 24">
  <g class="jp-icon3" fill="none" stroke="#616161" stroke-width="2" stroke-linecap="round" stroke-linejoin="round">
    <path class="jp-icon-none" d="M14 4H6a2 2 0 0 0-2 2v12a2 2 0 0 0 2 2h12a2 2 0 0 0 2-2v-4"/>
    <path class="jp-icon-none" d="M8 10l3 2.5L8 15"/>
    <path class="jp-icon-none" d="M13.5 10.5L20 4"/>
    <path class="jp-icon-none" d="M16 4h4v4"/>
  </g>
</svg>`
});
