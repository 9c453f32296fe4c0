// node --import: loads the probes before the app, and collects what they see between start() and stop().
import { register } from 'node:module'

let entries
globalThis.iopaProbe = (file, name) => {
  entries?.push([file, name])
}
globalThis.iopaTrace = {
  start: () => {
    entries = []
  },
  stop: () => {
    const seen = entries
    entries = undefined
    return seen
  }
}
register('./probes.js', import.meta.url)
