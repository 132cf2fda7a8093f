// What the page says. Whoever does something has a notice of its own: what one
// says or clears leaves what the others said as it is.

export class Notices {
  constructor(element) {
    this.element = element;
    this.said = []; // those with words, the latest one last
  }

  // Returns the notice of something that begins. What is said of things that
  // are over has been read by then.
  begin(words = "") {
    this.said = this.said.filter((one) => !one.over);
    const notice = new Notice(this);
    notice.say(words);
    return notice;
  }

  show() {
    const last = this.said[this.said.length - 1];
    const words = last ? last.words : "";
    // The same words anew would be read aloud again.
    if (this.element.textContent !== words) this.element.textContent = words;
    this.element.classList.toggle("trouble", Boolean(last && last.trouble));
  }
}

class Notice {
  constructor(notices) {
    this.notices = notices;
    this.over = false;
  }

  say(words, trouble = false) {
    if (this.over) return;
    this.words = words;
    this.trouble = trouble;
    const others = this.notices.said.filter((one) => one !== this);
    this.notices.said = words ? [...others, this] : others;
    this.notices.show();
  }

  // The last word of something that is over; it stays until something begins.
  end(words = "", trouble = false) {
    this.say(words, trouble);
    this.over = true;
  }
}
