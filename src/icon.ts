import { LabIcon } from '@jupyterlab/ui-components';

/** A prompt in a box that is open on one side: code that goes to run somewhere. */
export const execIcon = new LabIcon({
  name: 'jupyter_exec_ext:exec',
  // The fill is that of the paths, because JupyterLab's style sheet colours what has the class.
  svgstr: `<svg xmlns="http://www.w3.org/2000/svg" width="16" viewBox="0 0 24 24">
  <g class="jp-icon3" stroke="#616161" stroke-width="2" stroke-linecap="round" stroke-linejoin="round">
    <path fill="none" d="M13 4H6a2 2 0 0 0-2 2v12a2 2 0 0 0 2 2h12a2 2 0 0 0 2-2v-7"/>
    <path fill="none" d="M8 10l3 3-3 3M13 16h3"/>
    <path fill="none" d="M14.5 9.5L20 4M16 4h4v4"/>
  </g>
</svg>`
});
