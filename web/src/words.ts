// The page's words in English and Chinese. What the program names (tasks, files, locks) is shown as it is.
import { signal } from "@preact/signals";

export type Language = "en" | "zh";

const WORDS = {
  timeline: ["Time line", "时间线"],
  tasks: ["Tasks", "任务"],
  graph: ["Who waits for whom", "等待关系"],
  blocks: ["Blocks", "阻塞"],
  histograms: ["Distributions", "分布"],
  stepper: ["Step by step", "逐步回放"],
  task: ["task", "任务"],
  name: ["Name", "名称"],
  state: ["State", "状态"],
  waits: ["Waits for", "等待"],
  since: ["Since", "持续"],
  ran: ["Ran", "运行"],
  steps: ["Steps", "步数"],
  delay: ["Worst delay", "最长延迟"],
  site: ["Created at", "创建于"],
  running: ["running", "运行中"],
  ready: ["ready", "就绪"],
  parked: ["parked", "停放"],
  new: ["new", "新建"],
  done: ["done", "已完成"],
  poll: ["poll", "轮询"],
  step: ["step", "步进"],
  callback: ["callback", "回调"],
  block: ["block", "阻塞"],
  search: ["Search tasks, code, waits", "搜索任务、代码、等待对象"],
  all: ["all", "全部"],
  fit: ["Show all", "全览"],
  closer: ["Zoom in", "放大"],
  farther: ["Zoom out", "缩小"],
  loop: ["Loop", "循环"],
  events: ["events", "事件"],
  lost: ["older ones fell out of the ring", "条更早的已移出环形缓冲"],
  pause: ["Pause", "暂停"],
  resume: ["Resume", "继续"],
  live: ["live", "实时"],
  ended: ["The process does not answer any more.", "进程不再响应。"],
  dark: ["Dark", "深色"],
  light: ["Light", "浅色"],
  chain: ["Await chain", "等待链"],
  history: ["What it did", "经过"],
  holders: ["held by", "持有者"],
  waiters: ["also waiting", "同在等待"],
  close: ["Close", "关闭"],
  nobody: ["No task waits for another one.", "没有任务在等待另一个任务。"],
  cycle: ["cycle: none of these can ever go on", "环：其中任何一个都无法继续"],
  others: ["tasks wait for no other task", "个任务不等待其他任务"],
  omitted: ["tasks left out; search for a name to see its part", "个任务未画出；搜索名称以查看其部分"],
  noblocks: ["Nothing held the loop longer than its limit.", "没有任何步骤超过阻塞时限。"],
  norecord: ["No events were recorded.", "没有记录到事件。"],
  notasks: ["No task matches.", "没有匹配的任务。"],
  pick: ["Choose a task to see its await chain.", "选择一个任务以查看其等待链。"],
  times: ["times, worst", "次，最长"],
  nostack: ["No stack was taken.", "没有取得调用栈。"],
  readyDelay: ["Ready delay: from woken to stepped", "就绪延迟：从唤醒到步进"],
  stepTime: ["Step time: one resumption of a task", "步进时间：任务的一次恢复"],
  iterationTime: ["Iteration time: from poll to poll", "迭代时间：两次轮询之间"],
  longest: ["Longest", "最长"],
  nochain: ["The recording holds no frames of this task.", "记录中没有该任务的栈帧。"],
  unknown: ["unknown", "未知"],
  keys: [
    "Keys: 1–6 views · / search · ←→ move · + − zoom · 0 show all · ↑↓ task · Esc close",
    "按键：1–6 视图 · / 搜索 · ←→ 移动 · + − 缩放 · 0 全览 · ↑↓ 任务 · Esc 关闭",
  ],
  task_created: ["created", "创建"],
  task_stepped: ["stepped", "步进"],
  task_parked: ["parked", "停放"],
  task_woken: ["woken", "唤醒"],
  task_done: ["done", "完成"],
  callback_begun: ["callback begun", "回调开始"],
  callback_done: ["callback done", "回调结束"],
  timer_fired: ["timer fired", "定时器到期"],
  poll_begun: ["poll begun", "轮询开始"],
  poll_done: ["poll done", "轮询结束"],
  fd_ready: ["fd ready", "fd 就绪"],
  handed_to_thread: ["handed to a thread", "交给线程"],
} satisfies Record<string, [string, string]>;

export type Word = keyof typeof WORDS;

export const language = signal<Language>(navigator.language.startsWith("zh") ? "zh" : "en");

/** The word in the language that is chosen; a text that is none of the page's words stays as it is. */
export const say = (word: Word | (string & {})): string => {
  const both = (WORDS as Record<string, string[]>)[word];
  return both === undefined ? word : both[language.value === "zh" ? 1 : 0]!;
};
